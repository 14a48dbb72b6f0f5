"""What each address does: a request in, a page or a redirection out. Rules live beside this folder, not in it."""
