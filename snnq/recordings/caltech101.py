"""The classes of N-Caltech101: the folders of Caltech101, without `Faces`, in alphabetical order;
and how many recordings each has."""

CALTECH101_CLASSES = tuple(
    """
    BACKGROUND_Google Faces_easy Leopards Motorbikes accordion airplanes anchor ant barrel
    bass beaver binocular bonsai brain brontosaurus buddha butterfly camera cannon car_side
    ceiling_fan cellphone chair chandelier cougar_body cougar_face crab crayfish crocodile
    crocodile_head cup dalmatian dollar_bill dolphin dragonfly electric_guitar elephant emu
    euphonium ewer ferry flamingo flamingo_head garfield gerenuk gramophone grand_piano
    hawksbill headphone hedgehog helicopter ibis inline_skate joshua_tree kangaroo ketch
    lamp laptop llama lobster lotus mandolin mayfly menorah metronome minaret nautilus
    octopus okapi pagoda panda pigeon pizza platypus pyramid revolver rhino rooster
    saxophone schooner scissors scorpion sea_horse snoopy soccer_ball stapler starfish
    stegosaurus stop_sign strawberry sunflower tick trilobite umbrella watch water_lilly
    wheelchair wild_cat windsor_chair wrench yin_yang
    """.split()
)

CALTECH101_SIZES = tuple(
    map(
        int,
        """
    467 435 200 798 55 800 42 42 47 54 46 33 128 98 43 85 91 50 43 123 47 59 62 107 47 69 73 70
    50 51 57 67 52 65 68 75 64 53 64 85 67 67 45 34 34 51 99 100 42 54 88 80 31 64 86 114 61 81
    78 41 66 43 40 87 32 76 55 35 39 47 38 45 53 34 57 82 59 49 40 63 39 84 57 35 64 45 86 59 64
    35 85 49 86 75 239 37 59 34 56 39 60
    """.split(),
    )
)
