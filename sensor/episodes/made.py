"""Episodes made for a model."""

from models.fusion import Hybrid
from sensor.alerts.alert import ModelIdentity, Observer
from sensor.episodes.alerting import AlertBuilder
from sensor.episodes.episodes import Episodes
from sensor.episodes.model_words import cuts_of, moved_most_of
from sensor.episodes.reasons import Explainer
from sensor.episodes.settings import EpisodeSettings


def episodes_of(
    hybrid: Hybrid,
    observer: Observer,
    rate: float | None = None,
    settings: EpisodeSettings | None = None,
    kind: type[Episodes] | None = None,
) -> Episodes:
    """Episodes for the judgements of a model at a nominal false-positive rate, its default one when None.

    kind: Episodes unless given.
    """
    cut_known, cut_novel = cuts_of(hybrid, rate)
    explainer = Explainer(hybrid.normal)
    builder = AlertBuilder(
        labels=hybrid.labels,
        explainer=explainer,
        model=ModelIdentity(hybrid.model_id, hybrid.sha256),
        observer=observer,
        top_columns=moved_most_of(hybrid, rate, explainer),
    )
    return (kind or Episodes)(
        labels=hybrid.labels,
        techniques=hybrid.techniques,
        cut_known=cut_known,
        cut_novel=cut_novel,
        builder=builder,
        settings=settings or EpisodeSettings(),
    )
