"""virtual(8): delivery to mailboxes of hosted domains."""
