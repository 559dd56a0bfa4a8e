"""What can go wrong with models and pictures; every message names the file and what to do."""


class VisionError(Exception):
    """Base of this package's errors."""


class ModelMissing(VisionError):
    """No models where they were looked for."""


class ManifestInvalid(VisionError):
    """A manifest that cannot be read or lacks something."""


class ModelMismatch(VisionError):
    """A model file that is not the one its manifest describes."""


class RuntimeMissing(VisionError):
    """No TFLite runtime is installed, or the one asked for is not."""


class BadFrame(VisionError):
    """An array that is no picture."""
