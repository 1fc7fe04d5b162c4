"""critwin finds critical windows: where a generative model decides what a sample will be."""

__version__ = "0.1.0"
