"""Agreement with neuralop 2.0.0, network by network, as a Markdown table.

python -m tests.benchmarks.parity
"""

import warnings

from neuralop import models as neuralop

from tests.models.neuralop_cases import FNO_CASES, TFNO_CASES, relative_difference


def main():
    warnings.simplefilter("ignore")
    print("| network | arguments | grid | relative difference |\n|---|---|---|---|")
    for name, reference_class, cases in (("FNO", neuralop.FNO, FNO_CASES), ("TFNO", neuralop.TFNO, TFNO_CASES)):
        for case, (settings, grid) in cases.items():
            difference = relative_difference(reference_class, settings, grid)
            print(f"| {name} | {case} | {' x '.join(map(str, grid))} | {difference:.1e} |")


if __name__ == "__main__":
    main()
