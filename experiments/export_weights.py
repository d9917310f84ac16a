"""Write the trained weights as the .pth that the reference's inference notebook reads.

python -m experiments.export_weights models/resnet18_autoencoder_seed82.pth
"""

import sys
from pathlib import Path

from vad import VadError
from vad.models import autoencoder

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m experiments.export_weights FILE.pth")
    try:
        autoencoder.export_pth(Path("models/autoencoder.safetensors"), Path(sys.argv[1]))
    except VadError as error:
        sys.exit(str(error))
