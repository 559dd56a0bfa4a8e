"""What can go wrong with models and pictures; every message names the file and what to do."""

from edged.domain.trouble import TroubleError

INSTALL_ONE_RELEASE = "copy the .tflite files and manifest.json of one release together"


class VisionError(TroubleError):
    """Base of this package's errors."""


class ModelMissing(VisionError):
    """No models where they were looked for."""


class ManifestInvalid(VisionError):
    """A manifest that cannot be read or lacks something."""


class ModelMismatch(VisionError):
    """A model file that is not the one its manifest describes."""


class ModelMisreads(VisionError):
    """Models that do not read the plates of the self-test: runtime and models do not fit this processor."""


class RuntimeMissing(VisionError):
    """No TFLite runtime is installed, or the one asked for is not."""


class BadFrame(VisionError):
    """An array that is no picture."""
