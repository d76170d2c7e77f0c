"""State whose sizes are those of the task, and come back with a checkpoint."""

from typing import Any

import torch

from contsemi.blocks.block import Block


class Sized(Block):
    """A block whose buffers take the sizes of the state that is loaded into them."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        for name, buffer in list(self.named_buffers(recurse=False)):
            if (saved := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(saved, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)
