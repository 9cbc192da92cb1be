"""Learning from an index's own log: training data, tuning, export."""

from rag_rec.adaptation.embedder.adapt import TuningOptions, adapt_embedder
from rag_rec.adaptation.embedder.record import Adaptation, read_adaptation
from rag_rec.adaptation.export.files import TrainingManifest, export_training
from rag_rec.adaptation.export.formats import TRAINING_FORMATS
from rag_rec.adaptation.lists import TrainingList, TrainingLists, training_lists
from rag_rec.adaptation.ranker.adapt import RankerOptions, adapt_ranker
from rag_rec.adaptation.ranker.record import RankerAdaptation, read_ranker_adaptation
from rag_rec.adaptation.record import TuningRecord
from rag_rec.adaptation.reward import ndcg_reward

__all__ = [
    "TRAINING_FORMATS",
    "Adaptation",
    "RankerAdaptation",
    "RankerOptions",
    "TrainingList",
    "TrainingLists",
    "TrainingManifest",
    "TuningOptions",
    "TuningRecord",
    "adapt_embedder",
    "adapt_ranker",
    "export_training",
    "ndcg_reward",
    "read_adaptation",
    "read_ranker_adaptation",
    "training_lists",
]
