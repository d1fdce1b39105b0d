"""sanrec: side-adapted networks for recommendation (CROSSAN, arXiv 2504.10307, and IISAN-Versa, arXiv 2411.02992)."""

__version__ = "0.1.0"
