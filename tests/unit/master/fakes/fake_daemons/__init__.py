"""Daemons that do next to nothing, for tests of master, warm and the skeleton's life of a process."""
