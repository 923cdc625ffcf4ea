"""master(8): listens for all services, starts daemons when there is work, limits, restarts and replaces them."""
