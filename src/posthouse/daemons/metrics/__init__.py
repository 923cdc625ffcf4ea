"""metrics(8): numbers, liveness and readiness over HTTP."""
