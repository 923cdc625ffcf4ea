"""warm with the fake daemons."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from posthouse.warm.image import CONTROL_FD, Names, run

run(CONTROL_FD, Names(daemons="fake_daemons"))
