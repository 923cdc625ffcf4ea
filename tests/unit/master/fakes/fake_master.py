"""master with fake orders and fake daemons. Arguments as master's."""

import os
import sys
from pathlib import Path

from posthouse.master.helpers import Launch
from posthouse.master.main import main

HERE = Path(__file__).resolve().parent
# A measurement of coverage goes on in the processes that are started.
kept = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}
python = (sys.executable, "-I")
launch = Launch(
    orders=(*python, str(HERE / "fake_orders.py")),
    warm=(*python, str(HERE / "fake_warm.py")),
    environment=kept,
    early="",
)
sys.exit(main(sys.argv[1:], launch))
