"""Names the desk's part of the database to Django."""

from django.apps import AppConfig


class DeskConfig(AppConfig):
    """Tables of the desk; those that the inbox shares are described by `models.shared`, unmanaged."""

    name = "coordination.desk"
    label = "desk"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let what allauth does to accounts be acts."""
        from coordination.desk import account_changes  # noqa: PLC0415 - it needs the tables

        account_changes.listen()
