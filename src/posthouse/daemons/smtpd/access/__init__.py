"""Access restrictions of smtpd(8): restriction lists compiled into closures at start, evaluated for each command."""
