"""The orders process: reads main.cf and master.cf for master(8), which is root and reads neither.

master starts it at each start and reload. It opens the two files, drops to an unprivileged user for good, and only
then parses; what it finds leaves it as records of fixed layout (ipc/orders_wire.py), or as one error with its place.
"""
