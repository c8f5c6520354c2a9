"""The Diffusion-GAN term: discrimination on noised states by the score estimator's own features."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "diffusion_gan",
        "dlmone.plugins.diffusion_gan.objective:DiffusionGAN",
        options="dlmone.plugins.diffusion_gan.options:DiffusionGANOptions",
        help="adversarial loss on noised states, D inside ψ (Eq. 5 and 6)",
    )
