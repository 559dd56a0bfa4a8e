"""What the committed models are made of: operations that every runtime computes right on every core."""

from pathlib import Path
from typing import Any

import pytest

MODELS = Path(__file__).resolve().parents[2] / "models"
# tflite-runtime 2.14 adds two int8 products in 16 bits on ARM cores without dot product instructions
# (Cortex-A53, A72): products of a softmax and a ReLU wrap there. Weights are stored so that they cannot.
SUMS_OF_PRODUCTS = {"BATCH_MATMUL", "FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"}


def interpreter_of(path: Path) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError:
        from tflite_runtime.interpreter import Interpreter, OpResolverType
    # Without a delegate, which would hide the operations that it takes over.
    kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    return interpreter


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.tflite")), ids=lambda path: path.stem)
def test_no_model_sums_products_of_two_computed_tensors(path: Path) -> None:
    interpreter = interpreter_of(path)
    operations = interpreter._get_ops_details()
    computed = {int(index) for operation in operations for index in operation["outputs"]}
    computed |= {int(details["index"]) for details in interpreter.get_input_details()}
    found = [
        operation["op_name"]
        for operation in operations
        if operation["op_name"] in SUMS_OF_PRODUCTS
        and len(computed.intersection(int(index) for index in operation["inputs"][:2])) > 1
    ]
    assert not found
