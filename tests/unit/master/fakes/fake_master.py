"""master with fake orders and fake daemons. Arguments as master's."""

import sys
from pathlib import Path

from posthouse.master.helpers import Launch
from posthouse.master.main import main

HERE = Path(__file__).resolve().parent
python = (sys.executable, "-I")
launch = Launch(
    orders=(*python, str(HERE / "fake_orders.py")), warm=(*python, str(HERE / "fake_warm.py")), environment={}, early=""
)
sys.exit(main(sys.argv[1:], launch))
