"""All studies, in the order of the page."""

from studies import fractures, joints, lesions, sacroplasty, vertebral

STUDIES = (
    *sacroplasty.STUDIES,
    *fractures.STUDIES,
    *vertebral.STUDIES,
    *lesions.STUDIES,
    *joints.STUDIES,
)
