"""`python -m launch`: Hydra wants this function in the module that is run."""

import hydra
from omegaconf import DictConfig

from launch.command import command
from launch.run import run


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """Do one run."""
    run(cfg)


if __name__ == "__main__":
    command(main)
