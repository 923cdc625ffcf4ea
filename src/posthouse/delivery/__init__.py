"""What all delivery agents share: the conversation with qmgr(8), results, the status line of the log."""
