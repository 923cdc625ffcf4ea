"""python -I -m posthouse.commands.orders -c DIR: started by master(8); the records go to descriptor 3."""

import sys

from posthouse.commands.orders.main import main

sys.exit(main(sys.argv[1:]))
