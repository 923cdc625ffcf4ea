"""python -m posthouse.commands.posthouse: the same as the posthouse script."""

from posthouse.commands.posthouse import main

raise SystemExit(main())
