"""python -m posthouse.commands.postfix: the same as the postfix script."""

from posthouse.commands.postfix.main import main

raise SystemExit(main())
