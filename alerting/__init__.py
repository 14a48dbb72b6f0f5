"""What readings mean: the care protocol, the kernel that judges, the life of an alert. No IO, no clock."""
