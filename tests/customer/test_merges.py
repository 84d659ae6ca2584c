"""Matches, collisions, merges and their end, as callers of the customer service see them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.customer.service import build
from services.customer.store import PLUMBING
from tests.customer.people import People
from tests.harness import Running, metadata, refused, running
from tillbridge.attention.v1 import attention_pb2
from tillbridge.customer.v1 import customer_pb2 as pb
from tillbridge.errors.v1 import errors_pb2


@pytest.fixture
def people(service: Running) -> People:
    return People(service)


@asynccontextmanager
async def ambiguous() -> AsyncIterator[None]:
    async with refused("CUSTOMER_AMBIGUOUS"):
        yield


async def family(people: People) -> tuple[str, str]:
    """Two profiles of one address; two orders wait for it."""
    ann, bob = await people.report(("p-1", "fam@x.com", "Ann"), ("p-2", "Fam@X.com", "Bob"))
    for order_id in ("1", "2"):
        async with ambiguous():
            await people.match("FAM@x.com", order_id)
    return ann, bob


def timeless(message: pb.MergeCustomersResponse | pb.UnmergeCustomersResponse) -> bytes:
    """The answer, apart from when its call was made."""
    message = type(message).FromString(message.SerializeToString())
    if isinstance(message, pb.MergeCustomersResponse):
        for one in message.merged_customers:
            one.ClearField("update_time")
    else:
        message.customer.ClearField("update_time")
    return message.SerializeToString(deterministic=True)


@pytest.mark.rule("BEY-14")
@pytest.mark.rule("BEY-09")
async def test_orders_of_a_shared_address_wait_in_one_group_with_the_way_out(
    people: People,
) -> None:
    ann, bob = await family(people)
    (group,) = await people.attention()
    assert group.cause == attention_pb2.ATTENTION_CAUSE_CUSTOMER_COLLISION
    assert (group.key, group.waiting_count) == ("fam@x.com", 2)
    assert group.title == "Two profiles carry fam@x.com: 2 orders wait"
    assert sorted([ann, bob]) == list(group.examples)
    assert "MergeCustomers" in group.remedy
    assert group.since.seconds
    found = await people.explain("1")
    assert found.waiting_reason == errors_pb2.ERROR_REASON_CUSTOMER_AMBIGUOUS
    assert (found.match.rule, found.match.customer_id) == (pb.MATCH_RULE_AMBIGUOUS, "")
    assert {ann, bob} == {one.customer_id for one in found.candidates}
    assert not found.HasField("customer")
    assert "two profiles carry fam@x.com" in found.explanation


@pytest.mark.rule("BEY-14")
async def test_a_merge_lets_what_waits_go_on_as_its_preview_says(people: People) -> None:
    ann, bob = await family(people)
    await people.match("lee@x.com", "3")
    preview = await people.merge(ann, bob, validate_only=True)
    assert not (await people.get(bob)).merged_into
    assert (len(await people.attention()), await people.unblocked()) == (1, [])
    merged = await people.merge(ann, bob)
    assert timeless(preview) == timeless(merged)
    assert (merged.customer.customer_id, merged.unblocked_order_count) == (ann, 2)
    assert [(bob, "pos_customer_id", "p-2", "p-1"), (bob, "name", "Bob", "Ann")] == [
        (one.customer_id, one.field, one.value, one.shown_value) for one in merged.hidden_values
    ]
    assert await people.unblocked() == [("web", ["1", "2"])]
    assert await people.attention() == []
    assert (await people.get(bob)).merged_into == ann
    assert {ann, bob} <= set((await people.changes())[-2:])
    for order_id in ("1", "2"):
        assert ann == (await people.match("fam@x.com", order_id)).customer.customer_id
    assert await people.orders(ann) == ["1", "2"]


@pytest.mark.rule("BEY-14")
async def test_unmerge_gives_every_order_back(people: People) -> None:
    (ann,) = await people.report(("p-1", "ann@x.com", "Ann"))
    bob = (await people.match("bob@x.com", "b-1", "Bob")).customer.customer_id
    await people.match("ann@x.com", "a-1")
    merged = await people.merge(ann, bob)
    assert (merged.order_count, merged.unblocked_order_count) == (1, 0)
    during = await people.match("BOB@x.com", "b-2")
    assert (during.customer.customer_id, during.created) == (ann, False)
    assert await people.orders(ann) == ["a-1", "b-1", "b-2"]
    found = await people.explain("b-2")
    assert (found.match.customer_id, found.match.matched_customer_id) == (ann, bob)
    assert "was merged at" in found.explanation
    assert await people.orders(bob) == ["b-1", "b-2"]

    preview = await people.unmerge(bob, validate_only=True)
    assert (await people.get(bob)).merged_into == ann
    back = await people.unmerge(bob)
    assert timeless(preview) == timeless(back)
    assert (back.customer.customer_id, back.former_customer.customer_id) == (bob, ann)
    assert back.order_count == 2
    assert (await people.orders(ann), await people.orders(bob)) == (["a-1"], ["b-1", "b-2"])
    assert bob == (await people.match("bob@x.com", "b-3")).customer.customer_id
    async with refused("CUSTOMER_NOT_MERGED"):
        await people.unmerge(bob)


@pytest.mark.rule("BEY-14")
async def test_unmerge_brings_a_collision_back(people: People) -> None:
    ann, bob = await family(people)
    await people.merge(ann, bob)
    await people.match("fam@x.com", "1")
    await people.unmerge(bob)
    (group,) = await people.attention()
    assert group.title == "Two profiles carry fam@x.com: 1 order waits"  # 2 was not tried again
    async with ambiguous():
        await people.match("fam@x.com", "4")
    assert await people.orders(ann) == ["1"]


@pytest.mark.rule("BEY-14")
async def test_merges_follow_one_another_and_never_run_in_a_circle(people: People) -> None:
    a, b, c = [(await people.match(f"{one}@x.com", one)).customer.customer_id for one in "abc"]
    await people.merge(b, a)
    merged = await people.merge(c, b)
    assert merged.order_count == 2
    assert (await people.get(a)).merged_into == b
    assert c == (await people.match("a@x.com", "a-2")).customer.customer_id
    assert await people.orders(c, page_size=1) == ["a", "a-2", "b", "c"]
    for survivor, other in ((a, c), (b, c), (c, a)):
        async with refused("CUSTOMER_MERGED"):
            await people.merge(survivor, other)
    async with refused("INVALID_FIELD"):
        await people.merge(c, c)
    async with refused("CUSTOMER_NOT_FOUND"):
        await people.merge(c, "nobody")
    async with refused("CUSTOMER_NOT_FOUND"):
        await people.unmerge("nobody")
    await people.unmerge(b)
    assert (await people.orders(b), await people.orders(c)) == (["a", "a-2", "b"], ["c"])


@pytest.mark.rule("BEY-14")
async def test_an_address_of_a_merged_profile_belongs_to_the_one_it_is_in(people: People) -> None:
    """A household: Bob, who shares Ann's address, is the same as Rob; the address is Rob's then."""
    ann, bob = await family(people)
    (rob,) = await people.report(("p-3", "rob@x.com", "Rob"))
    assert (await people.merge(rob, bob)).unblocked_order_count == 0
    (group,) = await people.attention()
    assert sorted([ann, rob]) == list(group.examples)
    async with ambiguous():
        await people.match("fam@x.com", "3")


@pytest.mark.rule("BEY-14")
@pytest.mark.rule("SOR-04")
async def test_the_point_of_sale_ends_a_collision_and_keeps_merged_profiles_up_to_date(
    people: People,
) -> None:
    _, bob = await family(people)
    await people.report(("p-2", "bob@x.com", "Bob"))
    assert (await people.attention(), await people.unblocked()) == ([], [("web", ["1", "2"])])
    (rob,) = await people.report(("p-3", "rob@x.com", "Rob"))
    await people.merge(rob, bob)
    before = await people.get(bob)
    assert [bob] == await people.report(("p-2", "bobby@x.com", "Bobby"))
    after = await people.get(bob)
    assert (after.name, after.email, after.merged_into) == ("Bobby", "bobby@x.com", rob)
    assert before.sync_time.ToNanoseconds() < after.sync_time.ToNanoseconds()
    assert rob == (await people.match("bobby@x.com", "9")).customer.customer_id
    created = (await people.match("new@x.com", "10")).customer
    assert (created.HasField("sync_time"), created.origin) == (False, pb.CUSTOMER_ORIGIN_ORDER)


@pytest.mark.rule("BEY-14")
async def test_the_point_of_sale_does_not_guess_whose_orders_are_whose(people: People) -> None:
    ordered = (await people.match("ann@x.com", "1")).customer.customer_id
    await people.report(("p-1", "other@x.com", "Ann"))
    await people.report(("p-1", "ann@x.com", "Ann"))
    (second,) = await people.report(("p-2", "ann@x.com", "Ann Lee"))
    assert second != ordered
    (group,) = await people.attention()
    assert group.title == "Three profiles carry ann@x.com"
    assert not (await people.get(ordered)).pos_customer_id


@pytest.mark.rule("BEY-02")
async def test_why_this_customer_is_told_of_every_order(people: People) -> None:
    created = (await people.match(" Ann@X.com", "1", "Ann")).customer
    await people.match("ann@x.com", "2", "Somebody")
    await people.match("ann@x.com", "1", "Again")  # it had brought the profile, and still has
    first, second = await people.explain("1"), await people.explain("2")
    assert (first.match.rule, second.match.rule) == (pb.MATCH_RULE_CREATED, pb.MATCH_RULE_EMAIL)
    assert (second.match.email, first.match.compared_email) == ("ann@x.com", "ann@x.com")
    assert created == first.customer == second.customer
    assert [created] == list(first.candidates)
    assert first.waiting_reason == errors_pb2.ERROR_REASON_UNSPECIFIED
    assert "made of this order" in first.explanation
    assert f"Ann ({created.customer_id}) carried ann@x.com" in second.explanation
    async with refused("MATCH_NOT_FOUND"):
        await people.explain("3")
    await people.match("bob@x.com")  # no order is behind it
    async with refused("CUSTOMER_NOT_FOUND"):
        await people.orders("nobody")


async def test_another_address_of_an_order_takes_the_place_of_the_first(people: People) -> None:
    ann = (await people.match("ann@x.com", "1")).customer.customer_id
    bob = (await people.match("bob@x.com", "1")).customer.customer_id
    assert (await people.orders(ann), await people.orders(bob)) == ([], ["1"])


@pytest.mark.rule("BEY-14")
async def test_very_many_orders_are_told_in_parts_by_channel(people: People) -> None:
    ann, bob = await people.report(("p-1", "fam@x.com", "Ann"), ("p-2", "fam@x.com", "Bob"))
    asked = [people.match("fam@x.com", f"{n:04}") for n in range(501)]
    asked += [people.match("fam@x.com", "7", channel_id="other")]
    refusals = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, Exception) for one in refusals)
    assert (await people.merge(ann, bob)).unblocked_order_count == 502
    told = await people.unblocked()
    assert [(c, len(ids)) for c, ids in told] == [("other", 1), ("web", 500), ("web", 1)]
    assert len({(channel, one) for channel, ids in told for one in ids}) == 502


@pytest.mark.rule("BEY-09")
async def test_collisions_are_listed_page_by_page(people: People) -> None:
    await people.report(*((f"p-{n}", f"{n // 12}@x.com", "") for n in range(60)))
    request = pb.ListAttentionRequest(page_size=2)
    seen: list[attention_pb2.AttentionGroup] = []
    while True:
        answer = await people.stub.ListAttention(request, metadata=metadata())
        seen += answer.groups
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert [f"{n}@x.com" for n in range(5)] == [one.key for one in seen]
    assert {("12 profiles carry", 10)} == {(one.title[:17], len(one.examples)) for one in seen}
    other = await people.stub.ListAttention(
        pb.ListAttentionRequest(), metadata=metadata("tea-shop")
    )
    assert not other.groups


@pytest.mark.rule("CUS-05")
@pytest.mark.rule("BEY-14")
async def test_matches_reports_and_merges_of_several_processes_never_disagree(
    service: Running,
) -> None:
    if not service.settings.database_url:
        pytest.skip("SQLite has one writing process")
    async with running("customer", PLUMBING, build, service.settings) as other:
        one, two = People(service), People(other)
        for n in range(8):
            address = f"fam-{n}@x.com"
            ann, bob = await one.report((f"a-{n}", address, "Ann"), (f"b-{n}", address, "Bob"))
            await asyncio.gather(
                *((one, two)[k % 2].match(address, f"{n}-{k}") for k in range(8)),
                two.merge(ann, bob),
                one.report((f"b-{n}", address, "Bobby")),
                *((two, one)[k % 2].match(f"new-{n}@x.com", f"n-{n}-{k}") for k in range(8)),
                return_exceptions=True,
            )
            bobby = await one.get(bob)
            assert (bobby.name, bobby.merged_into) == ("Bobby", ann)
            waiting = {f"{n}-{k}" for k in range(8)} - set(await one.orders(ann))
            told = {order for _, ids in await two.unblocked() for order in ids}
            assert waiting <= told  # whatever was refused was told that it may go on
            explained = [await two.explain(f"n-{n}-{k}") for k in range(8)]
            assert len({found.customer.customer_id for found in explained}) == 1
        assert await one.attention() == []
