"""The classes of N-Caltech101: the folders of Caltech101, without `Faces`, in alphabetical order."""

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
