"""Each loss with values worked out by hand, and where its gradient goes. Pictures here are a few pixels."""

import math

import pytest
import torch
from vmfm.trainer import losses
from vmfm.trainer.nets.discriminator import Discriminator


def image(*rows):
    """(1, 1, H, W)."""
    return torch.tensor(rows, dtype=torch.float32)[None, None]


ONES = torch.ones(1, 1, 3, 4)


class TestMatte:
    def test_a_constant_error_has_no_gradient_part(self):
        truth = torch.rand(1, 1, 3, 4)
        assert losses.matte_loss(truth + 0.25, truth, ONES).item() == pytest.approx(0.25)

    def test_a_ramp_by_hand(self):
        # error 0, .1, .2, .3 along x: its mean is .15; its derivative .1, at both borders .05, and 0 along y
        error = image([0, 0.1, 0.2, 0.3]).expand(1, 1, 3, 4)
        gradient = (0.05 + 0.1 + 0.1 + 0.05) / 4 / 2  # the mean is over both directions
        assert losses.matte_loss(error, torch.zeros_like(error), ONES).item() == pytest.approx(0.15 + gradient)

    def test_what_is_unknown_counts_nothing_nor_do_its_neighbours_edges(self):
        known = image([1, 1, 1, 0]).expand(1, 1, 3, 4)
        error = image([0.2, 0.2, 0.2, 0.9]).expand(1, 1, 3, 4)
        assert losses.matte_loss(error, torch.zeros_like(error), known).item() == pytest.approx(0.2)
        assert losses.matte_loss(error, torch.zeros_like(error), 0 * known) == 0

    def test_weights(self):
        known, error = image([1, 3]), image([0.4, 0.0])
        assert losses.weighted_mean(error, known).item() == pytest.approx(0.1)


class TestLaplacian:
    """An error on 32x64 pixels against a truth of 0."""

    def loss(self, error, known=None):
        return losses.laplacian_loss(error, torch.zeros_like(error), torch.ones_like(error) if known is None else known)

    def square(self, side, column=16):
        error = torch.zeros(1, 1, 32, 64)
        error[..., 8 : 8 + side, column : column + side] = 0.5
        return error

    def test_of_what_is_off_by_the_same_everywhere_nothing_is_felt(self):
        assert self.loss(torch.full((1, 1, 32, 64), 0.3)).item() == pytest.approx(0, abs=1e-6)

    def test_what_is_unknown_is_not_felt_beside_it_either(self):
        known = torch.ones(1, 1, 64, 96)
        known[..., 20:31, 33:50] = 0
        known[..., 50:55, :] = 0
        assert self.loss(torch.ones(1, 1, 64, 96), known).item() == pytest.approx(0, abs=1e-7)

    def test_a_checkerboard_by_hand(self):
        # each 2x2 pixels have the mean 0, so that all of it is in the first octave, which counts 1 of 31
        error = torch.tensor([[0.4, -0.4], [-0.4, 0.4]]).repeat(16, 32)[None, None]
        assert self.loss(error).item() == pytest.approx(0.4 / 31)

    def test_a_larger_mistake_is_felt_more(self):
        assert 0 < self.loss(self.square(2)) < self.loss(self.square(4)) < self.loss(self.square(8))

    def test_what_is_unknown_counts_nothing(self):
        known = torch.ones(1, 1, 32, 64)
        known[..., 32:] = 0
        error = self.square(4, column=40) + 0.2 * (known == 0)
        assert self.loss(error, known).item() == pytest.approx(0, abs=1e-6)
        assert self.loss(self.square(4, column=8), known) > 0
        assert self.loss(error, 0 * known) == 0


class TestComposite:
    def test_by_hand(self):
        foreground, background = torch.full((1, 3, 1, 2), 0.8), torch.full((1, 3, 1, 2), 0.2)
        seen = torch.full((1, 3, 1, 2), 0.5)  # that is alpha 0.5
        assert (
            losses.composite(image([0.0, 1.0]), foreground, background)[0, :, 0].tolist()
            == [pytest.approx([0.2, 0.8])] * 3
        )
        known = torch.ones(1, 1, 1, 1)
        alpha = image([0.5, 1.0])  # off by 0 and 0.5, times the contrast of 0.6
        assert losses.composite_loss(alpha, foreground, background, seen, known).item() == pytest.approx(0.15)
        assert losses.composite_loss(alpha, foreground, background, seen, 0 * known) == 0


class TestDeviation:
    def test_mistakes_are_widened_to_7_px_and_scaled_to_1(self):
        alpha = torch.zeros(1, 1, 1, 20)
        alpha[..., 5], alpha[..., 14] = 0.5, 0.25
        target = losses.deviation_truth(alpha, torch.zeros_like(alpha), torch.ones_like(alpha))
        assert target.flatten().tolist() == [0] * 2 + [1] * 7 + [0] * 2 + [0.5] * 7 + [0] * 2

    def test_no_mistake_stays_no_mistake(self):
        alpha = torch.rand(2, 1, 4, 4)
        assert losses.deviation_truth(alpha, alpha, torch.ones_like(alpha)).max() == 0

    def test_each_picture_has_its_own_scale(self):
        alpha = torch.zeros(2, 1, 1, 8)
        alpha[0, ..., 0], alpha[1, ..., 0] = 0.2, 0.8
        target = losses.deviation_truth(alpha, torch.zeros_like(alpha), torch.ones_like(alpha))
        assert target[:, 0, 0, 0].tolist() == [1, 1]

    def test_loss_by_hand_and_no_gradient_to_the_foreground_net(self):
        alpha = torch.zeros(1, 1, 1, 8, requires_grad=True)
        truth = image([0.5, *[0] * 7])  # target: four ones, four zeros
        deviation = torch.full((1, 1, 1, 8), 0.25, requires_grad=True)
        loss = losses.deviation_loss(deviation, alpha, truth, torch.ones(1, 1, 1, 8))
        assert loss.item() == pytest.approx((4 * 0.75 + 4 * 0.25) / 8)
        loss.backward()
        assert alpha.grad is None
        assert torch.equal(deviation.grad.sign(), image([-1, -1, -1, -1, 1, 1, 1, 1]))

    def test_mistakes_where_nothing_is_known_are_none(self):
        alpha, known = image([0.5, *[0] * 7]), image([0, *[1] * 7])
        assert losses.deviation_loss(0 * alpha, alpha, 0 * alpha, known) == 0


class TestAdversarial:
    def test_generator_by_hand(self):
        assert losses.generator_loss(torch.tensor([[1.0, 0.0], [0.5, 3.0]])).item() == pytest.approx(5.25 / 4)

    def test_discriminator_by_hand(self):
        fake, real = torch.tensor([0.5, -1.0]), torch.tensor([1.0, 0.0])
        assert losses.discriminator_loss(fake, real).item() == pytest.approx(1.25 / 2 + 1 / 2)

    def test_the_net_is_a_patchgan(self):
        net = Discriminator()
        convolutions = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
        assert sum(p.numel() for p in net.parameters()) == sum(16 * i * o + o for i, o in convolutions) == 2_764_737
        assert sum(isinstance(layer, torch.nn.InstanceNorm2d) for layer in net.layers) == 3
        assert net(torch.rand(2, 3, 64, 96)).shape == (2, 1, 11, 15)

    def test_each_score_sees_70_pixels(self):
        net = Discriminator(4).eval()
        for i, layer in enumerate(net.layers):  # without the norms, which look at the whole picture
            if isinstance(layer, torch.nn.InstanceNorm2d):
                net.layers[i] = torch.nn.Identity()
        picture = torch.rand(1, 3, 160, 160, requires_grad=True)
        score = net(picture)
        score[0, 0, score.shape[2] // 2, score.shape[3] // 2].backward()
        rows = picture.grad.abs().sum((0, 1, 3)).nonzero()
        assert rows.max() - rows.min() + 1 == 70


# five pixels: both sure, only m unsure, only the other unsure, both unsure, both sure but m less so
MINE, OTHER = image([0.1, 0.9, 0.2, 0.8, 0.4]), image([0.1, 0.3, 0.9, 0.6, 0.2])
ALPHA, OTHER_ALPHA = image([0.0, 0.0, 0.0, 0.0, 0.0]), image([0.1, 0.2, 0.3, 0.4, 0.5])


class TestThreshold:
    def test_by_hand(self):
        assert losses.thresholded(image([0.2, 0.5, 0.51, 1.0]), 0.5).flatten().tolist() == pytest.approx(
            [0.2, 0.5, 1, 1]
        )


class TestSupervision:
    def loss(self, alpha, other, *, below=False, mine=MINE, others=OTHER):
        return losses.supervision_loss(alpha, other, mine, others, 0.5, below=below)

    def test_the_text_by_hand(self):
        assert self.loss(ALPHA, OTHER_ALPHA).item() == pytest.approx(0.2 / 5)
        assert self.loss(OTHER_ALPHA, ALPHA, mine=OTHER, others=MINE).item() == pytest.approx(0.3 / 5)

    def test_the_equation_by_hand(self):
        assert self.loss(ALPHA, OTHER_ALPHA, below=True).item() == pytest.approx((0.2 + 0.5) / 5)

    @pytest.mark.parametrize("below", [False, True])
    def test_only_the_less_sure_net_learns_where_it_is_less_sure(self, below):
        maps = [v.clone().requires_grad_() for v in (ALPHA, OTHER_ALPHA, MINE, OTHER)]
        alpha, other, mine, others = maps
        losses.supervision_loss(alpha, other, mine, others, 0.5, below=below).backward()
        assert alpha.grad.flatten().tolist() == pytest.approx([0, -0.2, 0, 0, -0.2 if below else 0])
        assert [v.grad for v in (other, mine, others)] == [None, None, None]


class TestCorrection:
    def test_by_hand(self):
        # only the fourth pixel is above the threshold in both
        assert losses.correction_loss(MINE, OTHER, 0.5).item() == pytest.approx(0.8 / math.sqrt(5))
        assert losses.correction_loss(OTHER, MINE, 0.5).item() == pytest.approx(0.6 / math.sqrt(5))

    def test_the_gradient_lowers_the_deviation_there_and_only_there(self):
        mine, other = MINE.clone().requires_grad_(), OTHER.clone().requires_grad_()
        losses.correction_loss(mine, other, 0.5).backward()
        assert mine.grad.flatten().tolist() == pytest.approx([0, 0, 0, 1 / math.sqrt(5), 0])
        assert other.grad is None

    def test_nothing_to_correct(self):
        mine = torch.full((2, 1, 3, 3), 0.2, requires_grad=True)
        loss = losses.correction_loss(mine, mine.detach(), 0.5)
        loss.backward()
        assert loss == 0 and mine.grad.abs().max() == 0

    def test_pictures_do_not_mix(self):
        both = losses.correction_loss(torch.cat((MINE, 0 * MINE)), torch.cat((OTHER, 0 * OTHER)), 0.5)
        assert both.item() == pytest.approx(losses.correction_loss(MINE, OTHER, 0.5).item() / 2)


class TestModalities:
    def test_segmentation_by_hand(self):
        person, known = image([1.0, 0.0, 0.0]), image([1, 1, 0])
        entropy = -(math.log(0.8) + math.log(0.6)) / 2
        dice = 1 - (2 * 0.8 + 1) / (0.8 + 0.4 + 1 + 1)
        loss = losses.segmentation_loss(image([0.8, 0.4, 0.9]), person, known)
        assert loss.item() == pytest.approx(entropy + dice, rel=1e-5)

    def test_depth_is_nothing_where_unknown(self):
        truth, known = torch.rand(2, 1, 4, 4), torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)
        depth = truth.clone()
        depth[1] += 0.5
        assert losses.depth_loss(depth, truth, known) == 0
        depth[0] += 0.25
        assert losses.depth_loss(depth, truth, known).item() == pytest.approx(0.25)

    def test_heatmap_by_hand(self):
        # a peak weighs 21 and the rest 1; where points may be missing the rest weighs a tenth
        heatmap, truth = image([0.5, 0.2]), image([1.0, 0.0])
        peak, rest = -math.log(0.5), -math.log(0.8)
        sure = losses.heatmap_loss(heatmap, truth, torch.ones(1, 1, 1, 1))
        unsure = losses.heatmap_loss(heatmap, truth, torch.zeros(1, 1, 1, 1))
        assert sure.item() == pytest.approx((21 * peak + rest) / 22, rel=1e-5)
        assert unsure.item() == pytest.approx((20.1 * peak + 0.1 * rest) / 20.2, rel=1e-5)
