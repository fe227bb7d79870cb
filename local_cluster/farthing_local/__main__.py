"""python -m farthing_local: the local cluster without the rest of the command line."""

from farthing_local.commands import local

if __name__ == "__main__":
    local(prog_name="python -m farthing_local")
