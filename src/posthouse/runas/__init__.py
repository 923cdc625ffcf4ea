"""runas(8): becomes a recipient, for local(8), virtual(8), pipe(8) and spawn(8)."""
