"""cifar100: 50,000 + 10,000 small colour photographs of 100 kinds (Krizhevsky 2009), from the binary version.

Of the two labels of a record, that of the 20 coarse classes and that of the 100 fine ones, the fine one is used.
"""

from __future__ import annotations

from functools import partial

from numbanet.datasets.cifar import MIRRORS, CifarFiles, read_cifar
from numbanet.datasets.info import DatasetInfo, RemoteFile

FILES = CifarFiles(
    archive="cifar-100-binary.tar.gz",
    folder="cifar-100-binary",
    train=("train.bin",),
    test="test.bin",
    label_bytes=2,
)

CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""

INFO = DatasetInfo(
    name="cifar100",
    title="CIFAR-100: 60,000 small colour photographs of a hundred kinds of things",
    source="Krizhevsky, Nair, Hinton, https://www.cs.toronto.edu/~kriz/cifar.html",
    licence="none stated; the makers ask to cite Krizhevsky (2009), Learning Multiple Layers of Features",
    classes=tuple(CLASSES.split()),
    shape=(3, 32, 32),
    n_train=50_000,
    n_test=10_000,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    style="photo",
    augment="flip,crop(padding=4)",
    folders=(FILES.folder, "cifar100", "cifar-100"),
    layouts=(FILES.all, (FILES.archive,)),
    downloads=(RemoteFile(FILES.archive, "03b5dce01913d631647c71ecec9e9cb8", 168_513_733, MIRRORS),),
)

read = partial(read_cifar, FILES)
