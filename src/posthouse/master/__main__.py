"""python -I -m posthouse.master: started by postfix(1)."""

import sys

from posthouse.master.main import main

sys.exit(main(sys.argv[1:]))
