"""showq(8): queue listings for users."""
