"""The public names of dlmone.registry and where each lives; `__init__` reads this list."""

from .contracts.exporter import Exporter as Exporter
from .contracts.exporter import RunGraph as RunGraph
from .contracts.sample_reader import ForeignSamples as ForeignSamples
from .contracts.sample_reader import SampleReader as SampleReader
from .contracts.tracker import TrackedRun as TrackedRun
from .contracts.tracker import Tracker as Tracker
from .discovery import Registry as Registry
from .fields.times import Spacing as Spacing
from .fields.times import Time as Time
from .fields.times import spacing_on as spacing_on
from .fields.tokenizer import TokenizerChoice as TokenizerChoice
from .hooks import hookimpl as hookimpl
from .loading.files import shipped_recipes as shipped_recipes
from .loading.recipe import ResolvedRecipe as ResolvedRecipe
from .loading.recipe import load_recipe as load_recipe
from .plugin import Entry as Entry
from .plugin import Plugin as Plugin
from .schema import Recipe as Recipe
