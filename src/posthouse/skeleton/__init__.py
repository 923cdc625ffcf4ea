"""How a daemon lives: settings, privileges, serving, retiring. Daemons supply one service object and a declaration."""
