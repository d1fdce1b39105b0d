"""Losses of the models on graphs written anew: dense matrices, sums over the batch, torch's own gradients.

A reference reads the weights by their names, a 0/1 matrix of interactions A [U, I] and the features; of the package it
calls nothing. The world has a repeated interaction, a user and an item without any, and an item that lacks features in
one channel; the batch holds a user twice, and that item too.
"""

from itertools import combinations

import torch
from torch.nn import functional

COUNT_U, COUNT_I = 7, 6
PAIRS = [(0, 0), (0, 1), (0, 4), (1, 1), (1, 1), (1, 2), (2, 3), (3, 0), (3, 2), (3, 3), (5, 4), (6, 3), (6, 4)]
USERS, POSITIVES, NEGATIVES = (torch.tensor(x) for x in ([3, 0, 3, 6, 1], [0, 4, 2, 4, 1], [4, 5, 1, 0, 3]))
WITHOUT_FEATURES = 4


def world():
    """A [U, I], and the features of two channels."""
    generator = torch.Generator().manual_seed(4)
    features = [torch.randn(COUNT_I, width, generator=generator) for width in (5, 3)]
    features[0][WITHOUT_FEATURES] = 0
    had = torch.zeros(COUNT_U, COUNT_I)
    for u, i in PAIRS:
        had[u, i] = 1
    return had, features


def both_ways(had):
    """[G, G]"""
    return torch.cat([torch.cat([torch.zeros(COUNT_U, COUNT_U), had], 1), torch.cat([had.T, torch.zeros(6, 6)], 1)])


def symmetric(had):
    """D^-1/2 A D^-1/2; nodes without edges have zeros."""
    full = both_ways(had)
    degrees = full.sum(1)
    return torch.where(full > 0, full / torch.sqrt(degrees[:, None] * degrees[None, :]), torch.zeros(()))


def similar(features, k, binary):
    """D^-1/2 S D^-1/2, S the k nearest by cosine, itself included, where the cosine is positive."""
    s = torch.zeros(COUNT_I, COUNT_I)
    for a in range(COUNT_I):
        lengths = features.norm(dim=1) * features[a].norm()
        cosines = [float(features[a] @ features[b] / lengths[b]) if lengths[b] > 0 else 0.0 for b in range(COUNT_I)]
        for b in sorted(range(COUNT_I), key=lambda b: -cosines[b])[:k]:
            if cosines[b] > 0:
                s[a, b] = 1.0 if binary else cosines[b]
    degrees = s.sum(1)
    return torch.where(s > 0, s / torch.sqrt(degrees[:, None] * degrees[None, :]), torch.zeros(()))


def mean_of_layers(matrix, x, layers):
    """(x + Mx + M²x + …) / (L + 1)"""
    powers = [torch.matrix_power(matrix, layer) @ x for layer in range(layers + 1)]
    return torch.stack(powers).mean(0)


def bpr(users, items):
    terms = [
        torch.logaddexp(users[u] @ items[j] - users[u] @ items[i], torch.zeros(()))  # ln(1 + e^x)
        for u, i, j in zip(USERS, POSITIVES, NEGATIVES, strict=True)
    ]
    return torch.stack(terms).mean()


def squares(*vectors):
    return sum((x * x).sum() for x in vectors) / 2 / len(USERS)


def unit(x):
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)


def contrast(one, other, temperature):
    """InfoNCE between two views of the batch."""
    similarity = torch.exp(unit(one) @ unit(other).T / temperature)
    return -torch.log(similarity.diagonal() / similarity.sum(1)).mean()


def apart(nodes):
    return nodes[:COUNT_U], nodes[COUNT_U:]


def affine(w, name, x):
    return x @ w[name + ".weight"].T + w.get(name + ".bias", 0)


def lightgcn(w, had, features, s):
    nodes = mean_of_layers(symmetric(had), torch.cat([w["users"], w["items"]]), s.graph_layers)
    users, items = apart(nodes)
    own = squares(w["users"][USERS], w["items"][POSITIVES], w["items"][NEGATIVES])
    if s.pair_loss == "bpr":
        return bpr(users, items) + s.regularization * own
    popular = [max(1, sum(i == item for _, i in PAIRS)) / len(PAIRS) for item in range(COUNT_I)]
    terms = []
    for place, (u, i) in enumerate(zip(USERS, POSITIVES, strict=True)):
        seen = [users[u] @ items[j] - torch.tensor(popular[j]).log() for j in POSITIVES]
        kept = [x for p, x in enumerate(seen) if p == place or POSITIVES[p] != i]
        terms.append(torch.logsumexp(torch.stack(kept), 0) - seen[place])
    return torch.stack(terms).mean() + s.regularization * own


def freedom(w, had, features, s):
    users, items = apart(mean_of_layers(symmetric(had), torch.cat([w["users"], w["items"]]), s.graph_layers))
    first, second = (similar(f, s.neighbours, binary=True) for f in features)
    near = s.first_channel * first + (1 - s.first_channel) * second
    loss = bpr(users, items + torch.matrix_power(near, s.item_graph_layers) @ w["items"])
    by_features = [bpr(users, affine(w, f"projections.{m}", f)) for m, f in enumerate(features)]
    return loss + s.contrastive_weight * sum(by_features)


def bm3(w, had, features, s):
    users, items = apart(mean_of_layers(symmetric(had), torch.cat([w["users"], w["items"]]), s.graph_layers))
    items = items + w["items"]

    def target(x):
        return functional.dropout(x.detach(), s.dropout)

    def distance(x, goal):
        return (1 - (unit(affine(w, "predictor", x)) * unit(goal)).sum(1)).mean()

    user, item = users[USERS], items[POSITIVES]
    goal_u, goal_i = target(user), target(item)
    loss = distance(user, goal_i) + distance(item, goal_u) + s.regularization * squares(user, item)
    for m, f in enumerate(features):
        channel = affine(w, f"projections.{m}", f)[POSITIVES]
        loss = loss + s.contrastive_weight * (distance(channel, goal_i) + distance(channel, target(channel)))
    return loss


def graph_views(w, had, features, s):
    """MGCN's: behaviour, each channel's, and these fused, of all nodes."""
    whole = symmetric(had)
    behaviour = mean_of_layers(whole, torch.cat([w["users"], w["items"]]), s.graph_layers)
    views = []
    for m, f in enumerate(features):
        x = w["items"] * torch.sigmoid(affine(w, f"views.{m}.gate", affine(w, f"views.{m}.projection", f)))
        x = torch.matrix_power(similar(f, s.neighbours, binary=False), s.item_graph_layers) @ x
        views.append(torch.cat([whole[:COUNT_U, COUNT_U:] @ x, x]))
    scores = [affine(w, "fuser.attention.2", torch.tanh(affine(w, "fuser.attention.0", v))) for v in views]
    total = sum(torch.exp(score) for score in scores)
    shared = sum(torch.exp(score) / total * v for score, v in zip(scores, views, strict=True))
    fused = shared
    for m, v in enumerate(views):
        fused = fused + torch.sigmoid(affine(w, f"fuser.preferences.{m}", behaviour)) * (v - shared) / len(views)
    return behaviour, views, fused


def mgcn(w, had, features, s, extra=0, contrasts=()):
    behaviour, _, fused = graph_views(w, had, features, s)
    joined = behaviour + fused + extra
    users, items = apart(joined)
    loss = bpr(users, items) + s.regularization * squares(users[USERS], items[POSITIVES], items[NEGATIVES])
    for batch in (USERS, COUNT_U + POSITIVES):
        loss = loss + s.contrastive_weight * contrast(fused[batch], behaviour[batch], s.temperature)
        for one, other in contrasts:
            loss = loss + s.hypergraph_contrast * contrast(one[batch], other[batch], s.temperature)
    return loss


def mhcr(w, had, features, s):
    behaviour, views, _ = graph_views(w, had, features, s)

    def noisy_shares(scores):
        gumbel = -torch.log(torch.empty(scores.shape).exponential_())
        weights = torch.exp((scores + gumbel - (scores + gumbel).max().detach()) / 0.2)
        return weights / weights.sum(1, keepdim=True)

    hyper = []
    for m, f in enumerate(features):
        scores = f @ w[f"hypergraphs.{m}.edges"]
        drawn = [noisy_shares(had @ scores), noisy_shares(scores)]
        of_users, of_items = (functional.dropout(x, s.dropout) for x in drawn)
        before = torch.matrix_power(of_items @ of_items.T, s.hypergraph_layers - 1) @ apart(behaviour)[1]
        hyper.append(torch.cat([of_users, of_items]) @ of_items.T @ before)
    pairs = [*combinations(hyper, 2), *zip(hyper, views, strict=True)]
    return mgcn(w, had, features, s, s.hypergraph_weight * unit(sum(hyper)), pairs)


def mmgcn(w, had, features, s):
    full, leaky = both_ways(had), functional.leaky_relu
    averaging = full / full.sum(1, keepdim=True).clamp_min(1)
    total = 0
    for m, f in enumerate(features):
        x = unit(torch.cat([w[f"channels.{m}.preference"], affine(w, f"channels.{m}.projection", f)]))
        for layer in range(s.graph_layers):
            name = f"channels.{m}.layers.{layer}."
            around = leaky(averaging @ affine(w, name + "neighbours", x))
            own = leaky(affine(w, name + "own", x)) + w["ids"]
            x = leaky(affine(w, name + "joint", torch.cat([around, own], 1)))
        total = total + x
    return bpr(*apart(total)) + s.regularization * by_ids_and_preferences(w)


def by_ids_and_preferences(w):
    of_users, of_items = apart(w["ids"])
    preferences = [w[f"channels.{m}.preference"][USERS] for m in range(2)]
    return squares(of_users[USERS], of_items[POSITIVES], of_items[NEGATIVES], *preferences)


def grcn(w, had, features, s):
    kept = had.clone()
    kept[had > 0] = (torch.rand(int(had.sum())) >= s.edge_dropout).float()  # places in the order of users, then items
    full = both_ways(kept)

    def shares(scores, present):
        weights = torch.exp(scores) * present
        return weights / weights.sum(1, keepdim=True).clamp_min(1e-12)

    affinities, contents = [], []
    for m, f in enumerate(features):
        items = unit(functional.leaky_relu(affine(w, f"channels.{m}.projection", f)))
        users = unit(w[f"channels.{m}.preference"])
        for _ in range(s.routing):
            users = unit(users + shares(users @ items.T, kept) @ items)
        nodes = torch.cat([users, items])
        affinities.append(shares(nodes @ nodes.T, full))
        contents.append(nodes + affinities[-1] @ nodes)
    trusted = [a * w["confidence"][:, m] for m, a in enumerate(affinities)]  # of the node that sends: the column
    weights = torch.relu(torch.maximum(*trusted)) * full
    ids = sum(torch.matrix_power(weights, layer) @ w["ids"] for layer in range(s.graph_layers + 1))
    return bpr(*apart(torch.cat([ids, *contents], 1))) + s.regularization * by_ids_and_preferences(w)
