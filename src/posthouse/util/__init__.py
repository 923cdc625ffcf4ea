"""What knows no mail: errors, the log, the event loop, connections, files, locks."""
