"""Published numbers that the model does not address, and why; strengths are in their own rows."""

from studies.row import Published

UNADDRESSED = (
    (
        Published("Waites 2008", "S", "strength restored to about 61 % of the initial one"),
        "Strength after a fracture that damaged the bone needs the damaged state; a linear model "
        "has none.",
    ),
    (
        Published("Richards 2009", "S", "no difference of strength by volume or location"),
        "As above.",
    ),
    (
        Published(
            "SI screws, PMC5052190", "S", "screw motion 1.2 and 0.7 mm, subsidence 5.7 and 3.0 mm"
        ),
        "Screws and their loosening under cycles are not modelled.",
    ),
    (
        Published("Graul 2025", "S", "cement at SI screws: 65 to 70 N, 2.6 to 3.0 mm"),
        "Screws are not modelled.",
    ),
    (
        Published("Andresen 2022", "S", "no difference of outcome between four techniques"),
        "Pain and function are not results of a mechanical model.",
    ),
    (
        Published("Soltani 2024", "S", "R2 0.90 of stiffness, 0.83 of strength over specimens"),
        "It needs specimens that were scanned and tested; none is shared.",
    ),
    (
        Published("Molloy 2005", "S", "strength restored at 16.2 % fill"),
        "Strength of a crushed body, as for Waites 2008.",
    ),
    (
        Published("Tschirhart, Ahn, Polikeit, Rohlmann, Chevalier", "-", "no numbers were seen"),
        "Nothing to compare with.",
    ),
    (
        Published("kyphoplasty, 10.5301/jabfm.5000287", "S", "endplate stress -25 % to -40 %"),
        "It is the effect of restored height; a sacrum is not collapsed, and no height comes back.",
    ),
    (
        Published("Purcell 2021", "S", "interface stress up to 7 times the threshold in walking"),
        "The threshold of a balloon's interface was measured in their bone; the package reports "
        "its interface's stress against sources of its own.",
    ),
    (
        Published("femoroplasty, PMC8550980", "S", "+42 % yield load with 9.1 ml"),
        "Another bone under a fall.",
    ),
    (
        Published("Day 2020", "S", "registration of scans gets the augmented stiffness right"),
        "A method for specimens that are scanned twice.",
    ),
    (
        Published("Wilke 1999", "S", "disc pressures by posture"),
        "They are the source of the load cases, so that they cannot check them.",
    ),
    (
        Published("walking, 10.1115/1.4066658", "S", "uphill with a pack: 5.23 body weights"),
        "No load case of the package is uphill with a pack.",
    ),
    (
        Published("ligaments, PMC12634734", "S", "pre-tension matters more than body weight"),
        "The ligaments have no pre-tension: none is published for a patient.",
    ),
    (
        Published("SI joint, 10.1002/jor and IJSS", "S", "failure at 3368 N and 5150 N"),
        "Failure of the joint is not modelled.",
    ),
    (
        Published("Clin Biomech 1995;10:352", "S", "change of posture: mean 1.7 deg, 0.7 mm"),
        "What hips and thighs do to the pelvis between two postures is not modelled.",
    ),
    (
        Published(
            "the tool's own question", "-", "approaches and techniques in a metastatic sacrum"
        ),
        "No published experiment or model compares them: there is no direct truth for it.",
    ),
)
