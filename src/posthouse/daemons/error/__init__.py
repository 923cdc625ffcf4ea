"""error(8) and retry(8): the delivery agents that refuse or put off every recipient."""
