"""What a sensor said: drivers, sessions and the Reading that every other package knows."""
