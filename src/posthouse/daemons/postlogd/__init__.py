"""postlogd(8): writes the log file."""
