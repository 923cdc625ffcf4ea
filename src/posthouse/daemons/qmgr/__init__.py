"""qmgr(8): the queue manager, owner of the queue."""
