"""Every block of the network against the original's numbers."""

from __future__ import annotations

import torch

from trdimp_ros.models.box_scorer import BoxScorer
from trdimp_ros.models.labels import LABEL_SIGMA, gaussian_label
from trdimp_ros.models.norm import instance_l2_norm, norm_scale
from trdimp_ros.models.precise_roi_pooling import precise_roi_pool
from trdimp_ros.models.target_filter import (
    FilterOptimizer,
    activation,
    activation_derivative,
    apply_filter,
    apply_filter_transpose,
)
from trdimp_ros.models.transformer import EncodedMemory, attention_weights
from trdimp_ros.testing.golden_set import skip_in_small_set


def channels_last(features: torch.Tensor) -> torch.Tensor:
    """(..., C, H, W) -> (..., H, W, C)."""
    return features.movedim(-3, -1).contiguous()


def channels_first(features: torch.Tensor) -> torch.Tensor:
    """(..., H, W, C) -> (..., C, H, W)."""
    return features.movedim(-1, -3)


def bin_values(optimizer: FilterOptimizer, centers: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The original's triangular bin values (N, bins, H', W'): functions that are 1 at one knot and 0 at the others."""
    return optimizer.interpolate(optimizer.distances(centers, size), torch.eye(optimizer.bins)).transpose(0, 1)


def test_golden_precise_roi_pooling(golden):
    cases = golden.groups(r"(prroi_pool/\w+)/")
    assert cases
    for case in cases:
        features, rois = golden[f"{case}/features"].requires_grad_(), golden[f"{case}/rois"].requires_grad_()
        scale, rows, columns = golden[f"{case}/cfg"].tolist()
        with torch.enable_grad():
            pooled = torch.stack(
                [
                    precise_roi_pool(features[int(roi[0])][None], roi[None, None, 1:], scale, (int(rows), int(columns)))
                    for roi in rois
                ]
            )[:, 0, 0]
            pooled.sum().backward()
        golden.check(f"{case}/out", pooled)
        golden.check(f"{case}/grad_rois", rois.grad)
        golden.check(f"{case}/grad_features", features.grad)


def test_golden_backbone_and_classification_feature(golden):
    sizes = golden.groups(r"backbone/(\d+)/")
    assert sizes
    network = golden.network
    for size in sizes:
        image = golden[f"backbone/{size}/image"].permute(2, 0, 1)[None].float()
        x = network.backbone.normalize(image)
        golden.check(f"backbone/{size}/input_probe", x[0, :, ::50, ::50])
        backbone = network.backbone
        stem = torch.relu(backbone.bn1(backbone.conv1(x)))
        layer1 = backbone.layer1(backbone.maxpool(stem))
        layer2, layer3 = backbone(x)
        for name, value in (("conv1", stem), ("layer1", layer1), ("layer2", layer2), ("layer3", layer3)):
            golden.check(f"backbone/{size}/{name}", value)
        golden.check(f"clf_feature/{size}/conv", network.classifier.projection(layer3))
        golden.check(f"clf_feature/{size}/out", channels_first(network.classifier.classification_feature(layer3)))


def test_golden_instance_norm(golden):
    scale = norm_scale(512, 4)
    golden.check("instance_l2norm/out", instance_l2_norm(golden["instance_l2norm/input"], scale))
    golden.check("instance_l2norm/tiny_out", instance_l2_norm(golden["instance_l2norm/tiny_input"], scale))


def test_golden_labels(golden):
    boxes = golden["label/boxes"]
    sample = (352, 352)
    golden.check("label/mask_352", gaussian_label(boxes, (22, 22), sample, 4))
    golden.check("label/mask_224", gaussian_label(boxes * (224 / 352), (14, 14), (224, 224), 4))
    train = gaussian_label(boxes, (22, 22), sample, 4, LABEL_SIGMA, end_pad=True)
    golden.check("label/train_352", train)
    golden.check("label/odd_352", gaussian_label(boxes, (22, 22), sample, 3))
    golden.check("label/density_352", gaussian_label(boxes, (22, 22), sample, 4, LABEL_SIGMA, True, density=True))


class TestTransformer:
    def test_golden_full_size(self, golden):
        skip_in_small_set(golden, "transformer/full/memory_x")
        transformer = golden.network.classifier.transformer
        frames = channels_last(golden["transformer/full/memory_x"]).flatten(1, 2)[None]  # (1, 3, L, C)
        labels = gaussian_label(golden["transformer/full/boxes"], (22, 22), (352, 352), 4)
        golden.check("transformer/full/label", labels)
        memory = transformer.encode(frames)
        golden.check("transformer/full/memory", memory.view(-1, 1, 512))
        prepared = transformer.prepare(memory, labels.flatten(1)[None])
        test = channels_last(golden["transformer/full/test_x"]).flatten(1, 2)
        for name, tokens in (("decoded", test), ("decoded_memory0", frames[0, :1])):
            golden.check(
                f"transformer/full/{name}", channels_first(transformer.decode(tokens, prepared).view(1, 22, 22, 512))
            )

    def test_golden_small_size_step_by_step(self, golden):
        transformer = golden.network.classifier.transformer
        tokens = channels_last(golden["transformer/small/memory_x"]).flatten(1, 2)  # (3, 120, C)
        keys = transformer.self_attn.keys(tokens).flatten(0, 1)
        affinity = attention_weights(keys, keys, torch.float32)
        affinity = affinity / affinity.sum(-1, keepdim=True)
        golden.check("transformer/small/enc_affinity", affinity[None])
        golden.check("transformer/small/enc_attention", (affinity @ tokens.flatten(0, 1))[:, None])
        golden.check("transformer/small/memory", transformer.encode(tokens[None]).view(-1, 1, 512))

        memory = golden["transformer/small/memory_f16"].view(1, 3, 120, 512)
        mask = golden["transformer/small/label"].view(1, 3, 120)
        prepared = transformer.prepare(memory, mask)
        test = channels_last(golden["transformer/small/test_x"]).flatten(1, 2)
        keys = transformer.self_attn.keys(test)
        weights = attention_weights(keys, keys, torch.float32)
        attended = weights @ test / weights.sum(-1, keepdim=True)
        golden.check("transformer/small/dec_self_attention", attended.transpose(0, 1))
        target = instance_l2_norm(test + attended, transformer.scale)
        golden.check("transformer/small/dec_target", target.transpose(0, 1))
        cross = attention_weights(transformer.cross_attn.keys(target), prepared.keys, torch.float32) @ prepared.values
        cross = cross[..., :513] / cross[..., 513:514]
        golden.check("transformer/small/dec_mask", cross[0, :, -1])
        golden.check("transformer/small/dec_cross_attention", cross[..., :-1].transpose(0, 1))
        masked = instance_l2_norm(target * cross[..., -1:], transformer.scale)
        golden.check("transformer/small/dec_masked", masked.transpose(0, 1))
        transformed = instance_l2_norm(target + cross[..., :-1], transformer.scale)
        golden.check("transformer/small/dec_cross", transformed.transpose(0, 1))
        decoded = transformer.decode(test, prepared)
        golden.check("transformer/small/decoded", channels_first(decoded.view(1, 10, 12, 512)))

    def test_golden_free_slots_change_nothing(self, golden):
        """The memory padded to its capacity gives what the memory without padding gives."""
        transformer = golden.network.classifier.transformer
        tokens = channels_last(golden["transformer/small/memory_x"]).flatten(1, 2)[None]
        padded = torch.cat([tokens, torch.full_like(tokens, 0.3)], dim=1)
        in_use = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
        encoded = transformer.encode(padded, in_use)
        golden.check("transformer/small/memory", encoded[:, :3].reshape(-1, 1, 512))
        memory = golden["transformer/small/memory_f16"].view(1, 3, 120, 512)
        mask = golden["transformer/small/label"].view(1, 3, 120)
        prepared = transformer.prepare(
            torch.cat([memory, encoded[:, 3:]], dim=1), torch.cat([mask, mask], dim=1), in_use
        )
        test = channels_last(golden["transformer/small/test_x"]).flatten(1, 2)
        decoded = transformer.decode(test, prepared)
        golden.check("transformer/small/decoded", channels_first(decoded.view(1, 10, 12, 512)))

    def test_golden_training_batch(self, golden):
        skip_in_small_set(golden, "transformer/train/train_x")
        train, test = golden.network.transform(
            channels_last(golden["transformer/train/train_x"]),
            channels_last(golden["transformer/train/test_x"]),
            golden["transformer/train/label"],
        )
        golden.check("transformer/train/encoded", channels_first(train).flatten(0, 1))
        golden.check("transformer/train/decoded", channels_first(test).flatten(0, 1))

    def test_a_free_slot_needs_no_valid_content(self):
        memory = EncodedMemory(keys=torch.zeros(1, 2, 4), values=torch.zeros(1, 2, 5))
        memory.keys[0, 0, 0] = 1.0
        memory.values[0, 0] = 1.0
        sums = attention_weights(memory.keys[:, :1], memory.keys, torch.float32) @ memory.values
        assert torch.allclose(sums[..., :-1] / sums[..., -1:], torch.ones(1, 1, 4))


class TestFilterOptimizer:
    def test_golden_maps(self, golden):
        optimizer = golden.network.classifier.filter_optimizer
        boxes = golden["optimizer/boxes"]
        centers = optimizer.target_centers(boxes)
        golden.check("optimizer/center", centers)
        # Places among 100 bins are float32 numbers up to 99, 2**-17 apart; processors differ by two such steps in them.
        rounding = 3 * 2.0**-17
        golden.check("optimizer/distance_map", bin_values(optimizer, centers, (23, 23))[:, ::3], rounding)
        maps = optimizer.sample_maps(boxes, (23, 23))
        golden.check("optimizer/label_map", maps.label)
        golden.check("optimizer/target_mask", maps.mask)
        golden.check("optimizer/spatial_weight", maps.weight)
        key = "optimizer/distance_map_small"
        inputs = golden.inputs(key)
        centers = torch.tensor(inputs["centers"])
        bins, rows, columns = golden[key].shape[1:]
        small = FilterOptimizer(bins, inputs["bin_width"], filter_size=4)
        golden.check(key, bin_values(small, centers, (rows, columns)))

    def test_golden_activation(self, golden):
        scores, mask = golden["optimizer/act_in"], golden["optimizer/act_mask"]
        golden.check("optimizer/act", activation(scores, mask))
        golden.check("optimizer/act_deriv", activation_derivative(scores, mask))

    def test_golden_filters(self, golden):
        skip_in_small_set(golden, "filter/init")
        classifier = golden.network.classifier
        optimizer = classifier.filter_optimizer
        features = channels_last(golden["transformer/full/memory_x"])[:, None]  # (3, 1, H, W, C)
        boxes = golden["transformer/full/boxes"][:, None]
        golden.check("filter/init", classifier.filter_initializer(features, boxes))
        golden.check("filter/init_single", classifier.filter_initializer(features[1:2], boxes[1:2]))
        start = golden["filter/init_f16"]
        maps = optimizer.sample_maps(boxes, (23, 23))
        for name, weights in (("plain", None), ("weighted", golden["filter/sample_weight"][:, None])):
            iterates = optimizer(start, features, maps, 5, weights)
            golden.check(f"filter/{name}/iterates", torch.cat(iterates)[:, ::2])
            golden.check(f"filter/{name}/final", iterates[-1])
            losses = [optimizer.loss(filters, features, maps, weights) for filters in iterates]
            golden.check(f"filter/{name}/losses", torch.stack(losses))
            golden.check(f"filter/{name}/train_scores", apply_filter(features, iterates[-1])[:, 0])
        golden.check("filter/plain10", optimizer(start, features, maps, 10)[-1])

    def test_golden_filter_application(self, golden):
        skip_in_small_set(golden, "filter/init_f16")
        features = channels_last(golden["transformer/full/memory_x"])[:, None]
        test = channels_last(golden["transformer/full/test_x"])[:, None]
        plain10 = golden["filter/plain10_f16"]
        golden.check("filter/test_scores", apply_filter(test, plain10)[:, 0])
        odd = golden["filter/init_f16"][:, :, :3, :3]
        golden.check("filter/odd_scores", apply_filter(features, odd)[:, 0])
        residuals = golden["filter/transpose_in"]
        golden.check("filter/transpose_out", apply_filter_transpose(features, residuals, 4))

    def test_golden_two_sequences(self, golden):
        skip_in_small_set(golden, "filter/seq2/init")
        classifier = golden.network.classifier
        features = channels_last(golden["transformer/train/train_x"])
        boxes = golden["filter/seq2/boxes"]
        filters = classifier.filter_initializer(features, boxes)
        golden.check("filter/seq2/init", filters)
        maps = classifier.filter_optimizer.sample_maps(boxes, (11, 13))
        iterates = classifier.filter_optimizer(filters, features, maps, 3)
        golden.check("filter/seq2/final", iterates[-1])
        losses = [classifier.filter_optimizer.loss(filters, features, maps) for filters in iterates]
        golden.check("filter/seq2/losses", torch.stack(losses))
        test = channels_last(golden["transformer/train/test_x"])
        golden.check("filter/seq2/scores", apply_filter(test, iterates[-1]))


class TestBoxRegressor:
    def test_golden_modulation_features_and_scores(self, golden):
        skip_in_small_set(golden, "iounet/layer2")
        regressor = golden.network.bb_regressor
        layers = golden["iounet/layer2"], golden["iounet/layer3"]
        modulation = regressor.modulation(*layers, golden["iounet/ref_box"])
        golden.check("iounet/mod3", modulation[0][..., None, None])
        golden.check("iounet/mod4", modulation[1][..., None, None])
        features = regressor.search_features(*layers)
        golden.check("iounet/feat3", features[0])
        golden.check("iounet/feat4", features[1])
        proposals = golden["iounet/proposals"][None].requires_grad_()
        with torch.enable_grad():
            scores = regressor(modulation, features, proposals)
            scores.sum().backward()
        golden.check("iounet/iou", scores)
        golden.check("iounet/iou_grad", proposals.grad)

    def test_golden_closed_form_gradient(self, golden):
        skip_in_small_set(golden, "iounet/layer2")
        regressor = golden.network.bb_regressor
        layers = golden["iounet/layer2"], golden["iounet/layer3"]
        modulation = regressor.modulation(*layers, golden["iounet/ref_box"])
        scorer = BoxScorer(regressor)
        scorer.set_modulation(0, (modulation[0][0], modulation[1][0]))
        scores, gradient = scorer.score_and_gradient(
            scorer.prepare(regressor.search_features(*layers)), golden["iounet/proposals"].view(1, -1, 4)
        )
        golden.check("iounet/iou", scores)
        golden.check("iounet/iou_grad", gradient)
