"""A model in forms for others: weights as safetensors, or one ONNX file."""
