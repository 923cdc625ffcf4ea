"""warm(8): holds the warm image of all daemons and forks them for master(8)."""
