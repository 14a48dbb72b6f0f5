"""The simulated world, for tests and demonstrations; never in the image of a box."""
