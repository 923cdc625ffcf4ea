"""python -I -m posthouse.warm: started by master(8) only, with its control socket as descriptor 3."""

from posthouse.warm.image import CONTROL_FD, Names, run

run(CONTROL_FD, Names())
