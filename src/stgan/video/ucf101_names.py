"""UCF-101 (Soomro, Zamir, Shah 2012) as published: its classes, its size, and its file names.

UCF-101 has 13,320 AVI files of 320x240 pixels at 25 or 29.97 frames per second. Each class has 25 groups of 4 to 7
clips, each cut from one source video. The official splits do not divide groups.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

CLASSES: tuple[str, ...] = tuple(
    """
    ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BaseballPitch Basketball
    BasketballDunk BenchPress Biking Billiards BlowDryHair BlowingCandles BodyWeightSquats Bowling
    BoxingPunchingBag BoxingSpeedBag BreastStroke BrushingTeeth CleanAndJerk CliffDiving CricketBowling CricketShot
    CuttingInKitchen Diving Drumming Fencing FieldHockeyPenalty FloorGymnastics FrisbeeCatch FrontCrawl
    GolfSwing Haircut Hammering HammerThrow HandstandPushups HandstandWalking HeadMassage HighJump
    HorseRace HorseRiding HulaHoop IceDancing JavelinThrow JugglingBalls JumpingJack JumpRope
    Kayaking Knitting LongJump Lunges MilitaryParade Mixing MoppingFloor Nunchucks
    ParallelBars PizzaTossing PlayingCello PlayingDaf PlayingDhol PlayingFlute PlayingGuitar PlayingPiano
    PlayingSitar PlayingTabla PlayingViolin PoleVault PommelHorse PullUps Punch PushUps
    Rafting RockClimbingIndoor RopeClimbing Rowing SalsaSpin ShavingBeard Shotput SkateBoarding
    Skiing Skijet SkyDiving SoccerJuggling SoccerPenalty StillRings SumoWrestling Surfing
    Swing TableTennisShot TaiChi TennisSwing ThrowDiscus TrampolineJumping Typing UnevenBars
    VolleyballSpiking WalkingWithDog WallPushups WritingOnBoard YoYo
    """.split()  # noqa: SIM905 - a hundred quotes more would not read better
)
"""The names of the 101 classes in the order of classInd.txt, which numbers them from 1. Networks trained on UCF-101
order their outputs in this way. The order is almost alphabetical (Hammering comes before HammerThrow)."""

WHERE = (
    "https://www.crcv.ucf.edu/data/UCF101.php has the clips (UCF101.rar, 6.5 GB, to be unpacked as UCF-101) and the "
    "lists (UCF101TrainTestSplits-RecognitionTask.zip, unpacked as ucfTrainTestlist)"
)
SIZE = (240, 320)
"""Height and width of every frame."""
FRAME_RATES = (25.0, 30000 / 1001)


@dataclass(frozen=True)
class Published:
    """The size of the complete set. groups: per class. splits: (train clips, test clips) by the number of the split."""

    classes: tuple[str, ...]
    groups: int
    splits: Mapping[int, tuple[int, int]]

    @property
    def clips(self) -> int:
        """The number of clips: every split divides all of them."""
        return sum(next(iter(self.splits.values())))


UCF101 = Published(CLASSES, 25, {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)})


@dataclass(frozen=True)
class ClipName:
    """A parsed name such as `Biking/v_Biking_g01_c02.avi`: class, group (from 1) and clip in the group (from 1)."""

    label: str
    group: int
    number: int


def parse_name(name: str) -> ClipName | None:
    """Parse the name of a clip; None for other names. The files of HandstandPushups are named HandStandPushups."""
    match = re.fullmatch(r"([A-Za-z]+)/v_([A-Za-z]+)_g(\d\d)_c(\d\d)\.avi", name, re.ASCII)
    if match is None or match[1].lower() != match[2].lower():
        return None
    return ClipName(match[1], int(match[3]), int(match[4]))
