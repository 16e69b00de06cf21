"""Batches of training pictures: photos as they are, and subjects pasted on other backgrounds."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training import augment
from training.chance import Chance, Size
from training.data import Collection, Photo
from training.grown import GROWN
from training.settings import Settings
from training.trimap import draw_trimaps
from training.warp import Drawing, Placement, warp

_SMALLEST_MOSAIC = 256  # px, its shorter side
_CUT = 2  # px; a subject this close to its photo's edge was cut by it


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step is trained on; all [N, ...] on one device."""

    rgb: Tensor  # uint8 [N, H, W, 3]
    trimap: Tensor  # uint8 [N, H, W]
    alpha: Tensor  # float32 [N, 1, H, W], 0-1
    trusted: Tensor  # float32 [N, 1, H, W]: how much a pixel's alpha is worth
    band: Tensor  # float32 [N, 1, H, W]: 1 where a trimap leaves a band open, else 0
    detailed: Tensor  # float32 [N, 1, 1, 1]: 1 where the alpha is true to the hair, else 0

    def tensors(self) -> tuple[Tensor, ...]:
        return self.rgb, self.trimap, self.alpha, self.trusted, self.band, self.detailed


class Batches:
    """Draws batches of any canvas size from a collection."""

    def __init__(self, collection: Collection, settings: Settings, rng: torch.Generator) -> None:
        self.collection = collection
        self.settings = settings
        self.rng = rng
        sources = settings.sources
        self._photo_weights = {name: source.weight for name, source in sources.items()}
        self._cutout_weights = {name: source.cutout for name, source in sources.items()}
        self._cutout_weights[GROWN] = settings.grown.cutout
        self._device = collection.backgrounds[0].levels[0].device
        self._chance = Chance(rng, settings.max_enlargement)

    def draw(self, size: Size, count: int) -> Batch:
        """Some photos, some composites, all finished by the same camera."""
        self._chance.begin()  # so that a batch depends on nothing but the generator's state
        composites = int(self.settings.composites * count + self._chance.number())
        stacks, detailed = [], []
        if composites < count:
            photos, soft = self._pictures(size, count - composites)
            stacks.append(photos)
            detailed += soft
        if composites:
            stacks.append(self._composites(size, composites))
            detailed += [True] * composites
        image, alpha, trusted = torch.cat(stacks).split((3, 1, 1), 1)
        image = augment.photograph(image, self.rng)
        trimap, known, band = draw_trimaps(alpha, trusted, self.settings.trimaps, self.rng)
        return Batch(
            rgb=(image * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous(),
            trimap=(trimap * 255).round().to(torch.uint8).squeeze(1),
            alpha=alpha,
            trusted=torch.where(known, 2.0, trusted),  # what the user marked counts double
            band=band.float(),
            detailed=torch.tensor(detailed, device=alpha.device).float().view(-1, 1, 1, 1),
        )

    def _pictures(self, size: Size, count: int) -> tuple[Tensor, list[bool]]:
        """Photos [N, 5, H, W], now and then four in one; and whether all of its alpha is a matte,
        of each.
        """
        share = self.settings.mosaics if min(size) >= _SMALLEST_MOSAIC else 0.0
        mosaics = sum(self._chance.number() < share for _ in range(count))
        stacks, soft = [], []
        if mosaics < count:
            photos = [self._photo(size) for _ in range(count - mosaics)]
            stacks.append(warp(photos, size))
            soft += [drawing.photo.soft for drawing in photos]
        if mosaics:
            tile = size[0] // 2, size[1] // 2
            photos = [self._photo(tile) for _ in range(4 * mosaics)]
            drawn = warp(photos, tile).view(mosaics, 2, 2, 5, *tile)
            stacks.append(drawn.permute(0, 3, 1, 4, 2, 5).reshape(mosaics, 5, *size))
            soft += [all(d.photo.soft for d in photos[i : i + 4]) for i in range(0, len(photos), 4)]
        return torch.cat(stacks), soft

    def _photo(self, size: Size) -> Drawing:
        """A photo, most of it in view, as the service will see it."""
        return self._in_view(
            self._chance.pick(self.collection.photos, size, self._photo_weights), size
        )

    def _in_view(self, photo: Photo, size: Size) -> Drawing:
        fits = size[0] / photo.size[0], size[1] / photo.size[1]
        whole, filled = min(fits), max(fits)
        closer = math.exp(0.3 * self._chance.number() ** 2)
        scale = whole * (filled / whole) ** (1 - self._chance.number() ** 2) * closer
        # A photo smaller than the canvas stays at its top left: that is how the service pads.
        target = [
            self._chance.between(min(0.0, side - length * scale), 0.0) + length * scale / 2
            for side, length in zip(size, photo.size, strict=True)
        ]
        placement = Placement(
            anchor=(photo.size[1] / 2, photo.size[0] / 2),
            target=(target[1], target[0]),
            scale=scale,
            stretch=math.exp(self._chance.between(-0.15, 0.15)),
            angle=self._chance.between(-0.2, 0.2) if self._chance.number() < 0.3 else 0.0,
            flip=self._chance.number() < 0.5,
        )
        return Drawing(photo, placement.affine(), border=True)

    def _composites(self, size: Size, count: int) -> Tensor:
        """Subjects on other backgrounds, [N, 5, H, W]; their alpha is true by construction."""
        image = self._backgrounds(size, count)
        rng = self.rng
        image = augment.sometimes(0.7, lambda x: augment.light(x, 0.3, rng), image, rng)
        image = augment.sometimes(
            0.3, lambda x: augment.blur(x, augment.uniform(0.8, 4.0, x, rng)), image, rng
        )
        alpha = torch.zeros_like(image[:, :1])
        for share in (1 - self.settings.empty, self.settings.pairs):
            colour, matte = self._subjects(size, count, share)
            image = augment.shadow(image, matte, 0.4, rng)
            image = colour * matte + image * (1 - matte)
            alpha = matte + alpha * (1 - matte)
        return torch.cat([image, alpha, torch.ones_like(alpha)], 1)

    def _subjects(self, size: Size, count: int, share: float) -> tuple[Tensor, Tensor]:
        """Colour [N, 3, H, W] and alpha [N, 1, H, W] of subjects; `share` of them are there."""
        there = [i for i in range(count) if self._chance.number() < share]
        drawn = torch.zeros(count, 5, *size, device=self._device)
        sigma = torch.zeros(count, 1, 1, 1)
        if there:
            photos = [
                self._chance.pick(self.collection.cutouts, size, self._cutout_weights)
                for _ in there
            ]
            drawings = [
                Drawing(photo, self._place(photo, size).affine(), border=False) for photo in photos
            ]
            drawn[there] = warp(drawings, size)
            for i, photo in zip(there, photos, strict=True):
                sigma[i] = 0.0 if photo.soft else self._chance.between(0.5, 1.6)
        sigma = sigma.to(self._device)
        colour, matte, _ = drawn.split((3, 1, 1), 1)
        # A mask has a hard edge with some background beyond it: draw it in, and soften it.
        drawn_in = ((augment.blur(matte, sigma) - 0.5) * 2).clamp(0, 1)
        matte = torch.where(sigma > 0, drawn_in, matte)
        rng = self.rng
        colour = augment.sometimes(0.7, lambda x: augment.light(x, 0.3, rng), colour, rng)
        return colour, matte

    def _place(self, photo: Photo, size: Size) -> Placement:
        """Anywhere and of any size, but what its photo's edge has cut stays at the frame."""
        top, left, bottom, right = photo.box
        height, width = bottom - top, right - left
        fit = min(size[0] / height, size[1] / width)
        scale = fit * math.exp(self._chance.between(math.log(0.4), math.log(1.15)))
        flip = self._chance.number() < 0.5
        cut_left, cut_right = left <= _CUT, right >= photo.size[1] - _CUT
        if cut_left and cut_right:
            scale = max(scale, size[1] / width)
        scale = min(scale, self.settings.max_enlargement)
        over = 0.3 if self._chance.number() < 0.2 else 0.0  # of the subject, beyond the frame
        h, w = height * scale, width * scale
        x = self._chance.between(*sorted((-over * w, size[1] - (1 - over) * w)))
        y = self._chance.between(*sorted((-over * h, size[0] - (1 - over) * h)))
        if flip:
            cut_left, cut_right = cut_right, cut_left
        if cut_left:
            x = 0.0
        elif cut_right:
            x = size[1] - w
        if bottom >= photo.size[0] - _CUT:
            y = size[0] - h
        elif top <= _CUT:
            y = 0.0
        cut = cut_left or cut_right or y in (0.0, size[0] - h)
        return Placement(
            anchor=((left + right) / 2, (top + bottom) / 2),
            target=(x + w / 2, y + h / 2),
            scale=scale,
            angle=0.0 if cut else self._chance.between(-0.35, 0.35),
            flip=flip,
        )

    def _backgrounds(self, size: Size, count: int) -> Tensor:
        """[N, 3, H, W]: places without a subject, photos blurred past knowing, and backdrops."""
        kinds = [self._chance.number() for _ in range(count)]
        places = [
            self._in_view(self._chance.pick(self.collection.backgrounds, size, None), size)
            for kind in kinds
            if kind < 0.65
        ]
        others = [
            self._blurred(size) if kind < 0.8 else self._backdrop(size)
            for kind in kinds
            if kind >= 0.65
        ]
        stacks = [torch.stack(others)] if others else []
        if places:
            stacks.append(warp(places, size)[:, :3])
        return torch.cat(stacks)

    def _blurred(self, size: Size) -> Tensor:
        photo = self._chance.pick(self.collection.photos, size, self._photo_weights)
        pixels = photo.levels[-1][None, :3].float() / 255
        return F.interpolate(pixels, size=size, mode="bicubic", align_corners=False)[0].clamp(0, 1)

    def _backdrop(self, size: Size) -> Tensor:
        """A colour that changes a little from corner to corner."""
        corners = torch.rand(3, 1, 1, generator=self.rng) + 0.15 * torch.randn(
            3, 2, 2, generator=self.rng
        )
        corners = corners.clamp(0, 1).to(self._device)
        return F.interpolate(corners[None], size=size, mode="bilinear", align_corners=True)[0]
